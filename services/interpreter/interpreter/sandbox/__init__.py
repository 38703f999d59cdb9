"""What keeps runs from each other and from the server.

zygote   root with SETUID and SETGID alone, knows no secret, reads nothing from the network
  └ warden   one for each box, a user of its own, may signal the runs' user and not the other way round
      └ user code   a user of its own, seccomp, limits
"""
