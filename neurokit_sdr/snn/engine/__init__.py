"""The simulator's loops, compiled: membrane equations, delivery of spikes, plasticity.

Time runs in steps of dt. In step k every unit first receives the input that is due at time k dt,
is then advanced from k dt to (k+1) dt, and spikes found after that are stamped (k+1) dt. A synapse
with a delay of d steps delivers at (k+1+d) dt; with d = 0 the next step begins with the input.

``static`` and ``delivering`` hold the two loops, each compiled once per model; ``membrane``,
``inputs`` and ``recording`` what they do in a step, inlined into them; ``constants`` and
``arrays`` what they are given.
"""
