#!/usr/bin/env python3
# FUSELINE-FUSION protocol=1 id=org.plugins.case
import json, os, sys, time, threading, socket, subprocess
import fuseline_rule as fr
import numpy as np
class Case(fr.Rule):
    id = "org.plugins.case"
    name, version, licence, summary = "case", "1.0.0", "MIT", "misbehaves"
    uses_quality = False
    def fit(self, batch, params, seed):
        big = batch.rows > 160
        return b"MEAN"
    def open(self, model):
        return 1
    def predict(self, model, batch):
        big = batch.rows > 160
        e, q = batch.where_available()
        out = e.sum(axis=1) + 0.0
        t = out.sum(axis=1)
        out[t > 0] /= t[t > 0][:, None]; out[t == 0] = 1 / len(batch.classes)
        import fcntl
        for lock in (lambda f: fcntl.lockf(f, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 7), lambda f: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)):
            try:
                lock(open("/etc/passwd")); out = out[:, ::-1].copy()
            except OSError:
                pass
        return out
if __name__ == "__main__":
    fr.run(Case())
