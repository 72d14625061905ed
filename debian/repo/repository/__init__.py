"""Signed apt and yum repositories: what debian/repo/{publish,apt,key,keyring} and rpm/repo/yum share."""
