#!/usr/bin/python3

"""Reads a page of metrics as a client of Prometheus's own project does.

usage: prometheus.py text|openmetrics < page

The metrics are printed as JSON.  What the parser does not like ends it.
"""

import json
import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

parsers = {
    'text': parser.text_string_to_metric_families,
    'openmetrics': openmetrics.text_string_to_metric_families,
}

page = sys.stdin.buffer.read().decode('utf-8', 'strict')

print(json.dumps([
    {
        'name': metric.name, 'type': metric.type, 'help': metric.documentation,
        'samples': [[s.name, s.labels, str(s.value)] for s in metric.samples],
    } for metric in parsers[sys.argv[1]](page)
]))
