"""Training over several processes: launcher, rendezvous, gradient sync, FSDP."""
