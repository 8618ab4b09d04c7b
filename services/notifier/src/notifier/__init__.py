"""Hears what people want to know, and tells them."""
