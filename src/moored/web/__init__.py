"""What all web frameworks share: the lazy session mapping, cookies, the end of a request."""
