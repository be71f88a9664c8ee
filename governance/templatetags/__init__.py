"""Template tags of the governance app; `parts` is the page vocabulary."""
