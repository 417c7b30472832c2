"""cmon shows what the neurons of an image network learn while it trains.

The four stages are functions over the tables of one workspace folder:
`extract.extract`, `score.score`, `embed.embed`, `report.report`. The commands in `cli` only read
options, call one of them and print its summary.
"""

__version__ = "0.1.0"
