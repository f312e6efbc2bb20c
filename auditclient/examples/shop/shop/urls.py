"""One address: it sets the price of a product."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from shop.models import Product


def set_price(request: HttpRequest, product_id: int) -> HttpResponse:
    """Set the price that the query names."""
    product = Product.objects.get(id=product_id)
    product.price = request.GET["price"]
    product.save()
    return HttpResponse(status=204)


urlpatterns = [path("products/<int:product_id>/price", set_price)]
