# SPDX-License-Identifier: Apache-2.0
"""The order in which the containers of one node die: the facts that the agent serves, and the ranks from them. Pure.

The agent collects the facts (`oompolicy_agent.order`), and the command line shows the ranks (`oompolicy.cli.order`).
Here does not belong a priority: `oompolicy.resolve` decides those.
"""
