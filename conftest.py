"""What every test folder shares: the fixtures of the local stack."""

pytest_plugins = ["local.fixtures"]
