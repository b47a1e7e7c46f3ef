"""Plug-ins: the systems that collections are pushed to."""
