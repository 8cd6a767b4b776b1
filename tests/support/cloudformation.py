"""Prints a CloudFormation template as JSON, with every function in its long form: cloudformation.py TEMPLATE"""

import json
import sys

from cfnlint.decode import decode

template, problems = decode(sys.argv[1])
if problems:
    sys.exit("\n".join(str(problem) for problem in problems))
json.dump(template, sys.stdout)
