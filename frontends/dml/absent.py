"""Functions of DML that this version does not have, and what to say about each."""

from __future__ import annotations

from typing import Final


def _reasons(reason: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


ABSENT: Final[dict[str, str]] = {
    **_reasons(
        "is a deep-learning operator, which this version does not have",
        "conv2d conv2d_backward_filter conv2d_backward_data max_pool max_pool_backward avg_pool avg_pool_backward "
        "bias_add bias_multiply batch_norm2d batch_norm2d_backward lstm lstm_backward",
    ),
    **_reasons(
        "works on frames, which this version does not have",
        "frame as.frame transformencode transformapply transformdecode transformcolmap transformmeta tokenize map "
        "detectSchema applySchema typeof colnames dropInvalidType dropInvalidLength valueSwap getCategoricalMask "
        "freplicate rowClassMeet rcm",
    ),
    **_reasons("trains with a parameter server, which this version does not have", "paramserv"),
    **_reasons("works on tensors, which this version does not have", "tensor"),
    **_reasons("works on federated data, which this version does not have", "federated"),
    **_reasons("reads from databases, which this version does not do", "sql"),
    **_reasons("is a Fourier transform, which this version does not have", "fft ifft fft_linearized stft"),
    **_reasons(
        "tells about engine internals, which this version does not show", "lineage compress decompress local"
    ),
    **_reasons("is not in this version", "einsum unique contains range garch nchar"),
    **_reasons(
        "is a builtin that SystemDS writes in DML, which this version does not bring along",
        "abstain adasyn als alsCG alsDS alsPredict alsTopkPredict ampute apply_pipeline arima auc autoencoder_2layer "
        "bandit bivar components confusionMatrix cooccurrenceMatrix cor correctTypos correctTyposApply cox cspline "
        "csplineCG csplineDS cvlm dbscan dbscanApply decisionTree decisionTreePredict dedup deepWalk "
        "denialConstraints differenceStatistics discoverFD dist dmv ema executePipeline f1Score fdr ffPredict ffTrain "
        "fit_pipeline fixInvalidLengths fixInvalidLengthsApply flattenQuantile frameSort frequencyEncode "
        "frequencyEncodeApply gaussianClassifier getAccuracy glm glmPredict glove gmm gmmPredict gnmf gridSearch "
        "hospitalResidencyMatch hyperband img_brightness img_brightness_linearized img_crop img_crop_linearized "
        "img_cutout img_cutout_linearized img_invert img_invert_linearized img_mirror img_mirror_linearized "
        "img_posterize img_posterize_linearized img_rotate img_rotate_linearized img_sample_pairing "
        "img_sample_pairing_linearized img_shear img_shear_linearized img_transform img_transform_linearized "
        "img_translate img_translate_linearized impurityMeasures imputeByFD imputeByFDApply imputeByKNN imputeByMean "
        "imputeByMeanApply imputeByMedian imputeByMedianApply imputeByMode imputeByModeApply incSliceLine "
        "independentSubnetTrain intersect km kmeans kmeansPredict knn knnbf knnGraph l2svm l2svmPredict lasso "
        "lenetPredict lenetTrain lm lmCG lmDS lmPredict lmPredictStats logSumExp mae mape matrixProfile mcc mdedup "
        "mice miceApply mse msmape msvm msvmPredict multiLogReg multiLogRegPredict na_locf naiveBayes "
        "naiveBayesPredict normalize normalizeApply nrmse outlier outlierByArima outlierByIQR outlierByIQRApply "
        "outlierBySd outlierBySdApply pageRank pca pcaInverse pcaTransform pnmf ppca psnr quantizeByCluster raGroupby "
        "raJoin randomForest randomForestPredict raSelection rmse scale scaleApply scaleMinMax scaleRobust "
        "scaleRobustApply selectByVarThresh ses setdiff shapExplainer sherlock sherlockPredict shortestPath skewness "
        "slicefinder sliceLine sliceLineDebug sliceLineExtract smape smote softmax split splitBalanced sqrtMatrix "
        "stableMarriage statsNA steplm stratstats symmetricDifference tomeklink toOneHot topk_cleaning tSNE "
        "underSampling union univar vectorToCsv wer winsorize winsorizeApply WoE WoEApply xdummy1 xdummy2 xgboost "
        "xgboostPredictClassification xgboostPredictRegression",
    ),
}
"""Name → the rest of the sentence that starts with the name."""
