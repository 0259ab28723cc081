//! What is declared (partners, local domains, next hops) and every decision made from it.
