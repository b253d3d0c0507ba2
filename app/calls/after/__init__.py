"""What the service does once a call has told it something: it reports the call to the operator."""
