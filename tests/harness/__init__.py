"""What every story needs: a real `soulbox serve`, told apart from everything else on the machine.

Nothing in here replaces a part of SoulBox. A server is the release binary, a node is the
privileged daemon that it starts, a sandbox is a gVisor (or namespace) sandbox.
"""
