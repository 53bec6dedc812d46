"""What the end-to-end tests stand on: daemons, sites, proxies, certificates. Standard library only."""
