"""What is measured inside the product, with its settings: `benchmarks.installation` starts these modules."""

import django

django.setup()
