"""The layers below `SshConnection`: what the user has configured, whom to trust, and paramiko with
bounds.
"""
