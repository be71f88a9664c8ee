"""Where policies meet traffic: what gateways are sent, and how one installation starts."""
