"""What is known of a run while it goes on, kept from what its nodes report, as plain figures."""
