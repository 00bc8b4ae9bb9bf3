# SPDX-License-Identifier: Apache-2.0
"""The agent's connection to the API server: it follows objects, posts Events and writes the status of the OOMNode.

Three threads follow policies, namespaces and the pods of the node. One posts Events, and one writes the status. Each
waits for the network, and wakes the loop by an eventfd. All code of the agent that knows of requests belongs here.
"""
