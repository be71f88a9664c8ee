"""The pure heart: same facts, signals, state and snapshot give the same decision, byte for byte, everywhere."""
