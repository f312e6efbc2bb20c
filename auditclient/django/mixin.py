"""The mixin: a model that has it is audited, wherever it is."""


class Audited:
    """`class Order(Audited, models.Model)`: what is created, changed and deleted of it is recorded."""
