"""What happened and what it cost: usage and decisions as gateways report them, prices, charges, spend."""
