"""Pages that stand alone: style, pictures and text in one file, for light and dark, wide and narrow screens."""
