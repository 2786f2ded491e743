"""Figures and the one page that shows a study."""
