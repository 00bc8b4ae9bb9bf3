# SPDX-License-Identifier: Apache-2.0
"""The pictures of the command line in README and docs: its real renderers, with answers of real programs.

`order.json` is the answer of the agent in the demo's guest (`python3 -m demo.node --order FILE`). `explain.json` has
the answers of an API server (`python -m demo.pictures --record`). `python -m demo.pictures` draws both again.
"""
