# SPDX-License-Identifier: Apache-2.0
"""The way to the API server for operator and agent: raw JSON over the kubernetes client's credentials and transport.

The connection, its errors, server-side apply and the informer belong here. Typed models do not, because they cost time
and memory per object. Code that depends on policies does not belong here either.
"""
