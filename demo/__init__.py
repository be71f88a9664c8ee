"""The demo: Harbour & Vale, a retailer, with real models that run on this machine."""
