"""Markov chain Monte Carlo: chains of any pure sweep, and what they are judged by."""
