"""Policy bundles signed with TUF, and the keys of the officers who sign them."""
