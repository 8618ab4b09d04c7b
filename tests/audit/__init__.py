"""What the services run with: under which licences, and with which known vulnerabilities."""
