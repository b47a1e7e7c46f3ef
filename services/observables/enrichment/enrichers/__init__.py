"""Remote enrichers as a tenant sees and configures them."""
