# SPDX-License-Identifier: Apache-2.0
"""Answer the question which container of this node dies next: collect the facts, and serve them.

Each request reads the memory of all containers anew. Nothing is kept between two requests.
The ranks do not belong here: `oompolicy.order` computes them where they are shown.
"""
