#!/usr/bin/env python3
"""The cloudwatch sink against a service that has its bad days."""
from awslib import own_network
from test_cloudwatch import denied, faults, one_bad, outage_at_the_end
from watchlib import run

if __name__ == "__main__":
    own_network()
    run(faults, one_bad, denied, outage_at_the_end)
