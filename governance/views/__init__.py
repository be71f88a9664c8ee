"""Pages, one module per noun; the first line of each view is its permission."""
