"""The status page's server: one reader of the ledger for all who look. It never writes, and knows no Beam.

ledger ─reading.py─▶ JobData ─pipeline/present/page─▶ HTML ─watch.py─▶ every open page ─app.py─▶ HTTP
                                                                         access.py: who may ask
"""
