"""What scikit-learn and scipy say of the study of CMU-MOSEI: python3 mosei.py FOLDER_OF_THE_DATA"""
import sys
import numpy as np, pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score as ba
from scipy.optimize import minimize_scalar
d=sys.argv[1]+'/'
lab=pd.read_csv(d+'labels.csv').set_index('video')
X={}
for m in ['language','acoustic','visual']:
    t=pd.read_parquet(d+m+'.parquet').set_index('video').sort_index(); X[m]=t.to_numpy(float)
ids=t.index; s=lab.score.loc[ids].to_numpy(); y=(s>np.quantile(s,.5)).astype(int); print('cohort',len(y),np.bincount(y),np.quantile(s,.5))
fold=np.empty(len(y),int)
# StratifiedGroupKFold as scikit-learn defines it, each video a group of its own; but ties are ties: 1.9 compares sums of
# floating-point numbers with <, so that what is equal is told apart by the last bit.
share=np.zeros((5,2)); whole=np.bincount(y)
for row in range(len(y)):
    uneven=[]
    for k in range(5):
        share[k,y[row]]+=1; uneven.append(np.mean(np.std(share/whole,axis=0))); share[k,y[row]]-=1
    tied=np.flatnonzero(np.isclose(uneven,min(uneven))); fold[row]=tied[np.argmin(share[tied].sum(axis=1))]
    share[fold[row],y[row]]+=1
def bal(y): return (len(y)/(2*np.bincount(y)))[y]
def fit(m,tr,ask):
    x=np.where(np.isfinite(X[m]),X[m],np.nan); imp=SimpleImputer().fit(x[tr]); sc=StandardScaler().fit(imp.transform(x[tr]))
    f=lambda r: sc.transform(imp.transform(x[r]))
    c=LogisticRegression(C=.01,solver='lbfgs',tol=1e-10,max_iter=5000).fit(f(tr),y[tr],sample_weight=bal(y[tr]))
    return c.predict_proba(f(ask))[:,1]
def temp(p,yy):
    L=np.log(np.stack([1-p,p],1))
    def loss(b):
        z=b*L; return -(bal(yy)*(z-np.log(np.exp(z).sum(1,keepdims=True)))[np.arange(len(yy)),yy]).sum()
    b=minimize_scalar(loss,bounds=(1e-3,50),method='bounded',options={'xatol':1e-12}).x
    def ap(p):
        z=b*np.log(np.stack([1-p,p],1)); return np.exp(z[:,1])/np.exp(z).sum(1)
    return ap
P={m:np.empty(len(y)) for m in X}
for k in range(5):
    tr=np.flatnonzero(fold!=k); te=np.flatnonzero(fold==k); inner=np.arange(len(tr))%4
    for m in X:
        oof=np.empty(len(tr))
        for i in range(4): oof[inner==i]=fit(m,tr[inner!=i],tr[inner==i])
        P[m][te]=temp(oof,y[tr])(fit(m,tr,te))
for m in X: print(m,repr(ba(y,(P[m]>.5).astype(int))))
mean=np.mean([P[m] for m in X],0); print('mean',repr(ba(y,(mean>.5).astype(int))))
right=np.stack([(P[m]>.5).astype(int)==y for m in X]).any(0)
print('oracle',repr(np.mean([right[y==c].mean() for c in (0,1)])))
