// Before the page is drawn: whether its rail is collapsed, as it was left.
"use strict";
document.documentElement.dataset.rail = localStorage.getItem("rail") ?? "open";
