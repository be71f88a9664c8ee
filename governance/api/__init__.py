"""What programs exchange with governance in JSON: gateways about reviews, people's own programs about changes."""
