"""The policy pack: what a plan must keep to. Rules stand in modules by concern; `__main__.py` only assembles them."""
