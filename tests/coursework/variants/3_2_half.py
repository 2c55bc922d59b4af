"""Projects with JᵀJ, which is a projection only where the rows of J are orthonormal."""


def twin_towards(jacobian, picture, target):
    wish = (target - picture).flatten()
    return picture + (wish - jacobian.T @ (jacobian @ wish)).view(picture.shape)
