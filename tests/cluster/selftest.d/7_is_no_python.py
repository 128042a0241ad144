"""a broken file fails alone"""
def run(cluster:
