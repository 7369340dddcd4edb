"""What a command line can choose: one dataclass a command, in which a field is an option and holds its help.

The parser, the help and the checks of what will be written are made from the fields (`harness/cli/parsing.py`,
`harness/commands/writing.py`); a command gets the dataclass. Nothing heavy is imported here: `--help` waits for it.
"""
