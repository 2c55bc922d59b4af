"""Pages that stand alone: style, pictures and text in one file, for any screen, light and dark."""
