"""What open models were measured at elsewhere, as figures; and 90 days of traffic that is told with them."""
