# SPDX-License-Identifier: Apache-2.0
"""How operator and agent speak to the API server: raw JSON over the kubernetes client's auth and transport.

Here belong the connection, its errors, server-side apply and the informer.
Here do not belong typed models, which cost time and memory per object, nor anything that knows what a policy is.
"""
