"""What runs under oclgrind, a simulator that checks every access to memory; see simulator.oclgrind."""
